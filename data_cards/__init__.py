"""The card template, and the cards of the shipped recipes. A package only so that the template is found when installed."""
