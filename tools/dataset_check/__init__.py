"""The doctor: looks through a whole split before it is trained on. `checkup` puts it together."""
