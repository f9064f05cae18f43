from __future__ import annotations

from dataclasses import replace

import torch

from slimdp.models.draws import draw_people, picture_seeds
from slimdp.structures import PoseBatch


def batch_of(pictures: list[int], people: int = 20) -> PoseBatch:
    """Pictures told apart by their affines, with people of ids of their own in each."""
    image_index = torch.arange(len(pictures)).repeat_interleave(people)
    batch = PoseBatch.of_pictures(
        torch.zeros(len(pictures), 3, 64, 64), image_index, torch.ones(len(image_index), 4)
    )
    affines = torch.tensor([[[1.0, 0, picture], [0, 1, 0]] for picture in pictures])
    ids = torch.tensor(pictures).repeat_interleave(people) * 1000 + torch.arange(people).repeat(len(pictures))
    return replace(batch, crop_from_image=affines, annotation_id=ids)


def test_a_picture_draws_the_same_in_any_part_of_a_batch_and_other_things_in_the_next_step() -> None:
    def drawn(*parts: list[int]) -> torch.Tensor:
        torch.manual_seed(3)
        state, found = torch.get_rng_state(), []
        for part in parts:
            torch.set_rng_state(state)
            found.append(draw_people(batch_of(part), 0.5))
        return torch.cat(found)

    whole = drawn([7, 8, 9])
    assert torch.equal(whole, drawn([7], [8, 9]))
    assert torch.equal(whole.view(3, -1)[[2, 0, 1]].flatten(), drawn([9, 7, 8]))
    assert not torch.equal(whole, draw_people(batch_of([7, 8, 9]), 0.5))  # the next step
    assert 10 < int(whole.sum()) < 50
    assert len(set(picture_seeds(batch_of([7, 8, 9])))) == 3


def test_a_share_of_0_and_1_and_nobody_to_draw() -> None:
    assert not draw_people(batch_of([1, 2]), 0.0).any()
    assert draw_people(batch_of([1, 2]), 1.0).all()
    assert draw_people(batch_of([1], people=0), 0.5).shape == (0,)
