"""The demo model's examiner: draws clips, asks about them and judges the answers.

It shares no code and no wordings with the training, so that its figures mean something.
"""
