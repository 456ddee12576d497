"""What a load run left behind: its folder, read and written; figures, and limits upon them. Pure
but for `folder.py`.
"""
