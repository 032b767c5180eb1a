"""Sound: the plane of its lapped transform, segment by segment, as fields of one .i2 file."""
