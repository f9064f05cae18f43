"""What to label next: which frames of a video, and which points of a person."""
