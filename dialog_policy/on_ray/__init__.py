"""Work on a Ray cluster, an engine that many machines already run (extra ``ray``)."""
