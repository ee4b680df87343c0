"""What any daemon needs of Linux; knows nothing of knocks."""
