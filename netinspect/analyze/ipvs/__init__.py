"""What virtual servers of IPVS, with the rules and sets beside them, do with packets to Services."""
