"""Which stored flows lead from one frame to another: the direct one, else few in a row."""

from __future__ import annotations

from collections.abc import Callable


def plan_chain(
    frame: int, step: int, steps: tuple[int, ...], held: Callable[[int, int], bool]
) -> tuple[int, ...]:
    """The hops that lead from a frame to the one `step` later: as few as can be, the longest ones first.

    A hop is a stored flow there together with the one back. The direct flow is a single hop and so comes
    before all others; with flow of one to three frames, 7 frames are 3 + 3 + 1. Hops lead towards the target
    alone: none goes past it and back, nor begins the other way.

    Args:
        frame: index of the frame to start from.
        step: how many frames later it ends, not 0.
        steps: what hops there may be.
        held: whether the flow from a frame over a step is stored, one way.

    Returns:
        Steps that add up to `step`; () where no stored flows lead there.
    """
    towards = sorted({s for s in steps if s * step > 0 and abs(s) <= abs(step)}, key=abs, reverse=True)
    target = frame + step
    reached: dict[int, tuple[int, ...]] = {
        frame: ()
    }  # frames by breadth: the first way there is the shortest
    row = [frame]
    while row and target not in reached:
        following = []
        for start in row:
            for hop in towards:
                end = start + hop
                beyond = abs(end - frame) > abs(step)
                if end not in reached and not beyond and held(start, hop) and held(end, -hop):
                    reached[end] = (*reached[start], hop)
                    following.append(end)
        row = following
    return reached.get(target, ())
