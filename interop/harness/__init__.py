"""What the tests of this folder stand on: the real server, a throwaway PostgreSQL, people, relying parties, a browser.

Nothing here knows the server's insides. It is reached the way an operator and a relying party reach it: its command
line, its discovery document, its pages.
"""
