"""What instructors and students read: feedback, the class report, exports."""
