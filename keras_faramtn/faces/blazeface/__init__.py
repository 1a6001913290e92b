"""BlazeFace, the face detector of MediaPipe: its networks, and the decoding of their outputs."""
