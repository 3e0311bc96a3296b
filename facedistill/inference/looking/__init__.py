"""Looking at an answer: pictures of the faces and of the distance between them, and a page for the browser."""
