"""Walk-forward: parameters and models chosen again and again on earlier hours, and tested on the hours that follow."""
