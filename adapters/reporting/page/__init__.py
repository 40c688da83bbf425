"""``report.html``: a pure function of the folder of a run, in one file that needs no network."""
