SELECT oldest FROM bearing
