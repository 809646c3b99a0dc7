"""Quality of clips: PSNR, SSIM, total variation, BRISQUE and CLIP-IQA, after piq, for whole clips at once.

measure     one pass over a clip's frames: the metrics as they should be, or as they were published
similarity  PSNR, SSIM and total variation of batches; brisque and clip_iqa: the two that need weights
scorers     which of those two can be had here, with the line that says what is missing
clips       where the clips of a folder or a dataset lie, and their frames
run         many clips by several processes, resumable
tables      the annotation of a dataset, and the tables in the published form
"""
