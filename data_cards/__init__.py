"""The card template and the cards of the shipped recipes; a package so that the template is found when installed."""
