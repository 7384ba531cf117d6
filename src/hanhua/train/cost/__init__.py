"""What training costs, told from shapes alone: FLOPs, memory, disk, time. Never imports torch.

``job`` says what is trained and on what; ``flops``, ``activations``, ``memory`` and ``disk`` count;
``propose`` looks for settings that fit.
"""
