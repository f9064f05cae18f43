"""The region network (DensePose, 3.2 and 3.3; DensePose-RCNN): Mask R-CNN with a dense branch."""
