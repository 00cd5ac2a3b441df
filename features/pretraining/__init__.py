"""Contrastive pretraining of quality- and content-aware encoders, after Re-IQA.

Saha, Mishra, Bovik, "Re-IQA: Unsupervised Learning for Image Quality Assessment in the Wild", CVPR
2023: MoCo v2 on pictures under synthetic distortions.
"""
