"""Direct Dense Pose (Ma et al.): people and one map of dense pose of a whole picture, without boxes."""
