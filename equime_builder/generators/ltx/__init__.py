"""The LTX generator: LTX-Video through diffusers, by prompt as published or by the warp generator's keyframes.

`options` is what a plan keeps, `weights` finds the model, `texts` embeds prompts, `pipelines` sets the model up,
`pictures` converts, and `drawing` draws. torch and diffusers are imported by the last four only.
"""
