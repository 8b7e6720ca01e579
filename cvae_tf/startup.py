"""The heavy imports, done first and with Python's cyclic garbage collector paused.

TensorFlow, Keras and TFP make three quarters of a million objects, and most stay. The collector
would go through them again and again while they are imported: a third of the time, for nothing.
"""

import gc

_was_enabled = gc.isenabled()
gc.disable()
try:
    import keras as keras
    import tensorflow as tensorflow
    from tensorflow_probability import distributions

    distributions.Normal  # noqa: B018  # TFP imports a module when something of it is asked for
finally:
    if _was_enabled:
        gc.enable()
