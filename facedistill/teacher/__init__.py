"""A pretrained face network that the user has, as an ONNX file: it is read, checked and run without torch."""


class TeacherError(ValueError):
    """The file of a teacher is missing, damaged or unsafe, or its network cannot be used."""
