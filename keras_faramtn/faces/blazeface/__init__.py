"""BlazeFace, the face detector of MediaPipe: its network, and the decoding of its outputs."""
