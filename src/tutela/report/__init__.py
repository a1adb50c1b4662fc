"""Reports: an assessment in every form people and machines read. Pure: text in, text out."""
