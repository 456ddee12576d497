"""What a deep queue and a full bucket cost, at four sizes a decade apart, and how that grows."""
