"""Dropout masks as ``numpy.random.binomial(1, keep, size)`` draws them, from MT19937's state (csrc/kernels/twister.h).

A state here is a uint32 array of 625: the generator's 624 words and its place among them.
"""
import math

import numpy as np

cimport numpy as cnp
from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.stdint cimport uint32_t, uint64_t

from fastnn._core cimport fnn_fp_enter, fnn_fp_leave, fnn_fp_state, fnn_kernels
from fastnn.kernels.plain cimport fresh, plain, table_of

cnp.import_array()

WORDS = 624

cdef bint looked = False  # whether NumPy's own memory has been compared with what it says is in it
cdef bint as_believed = False


def twister_limit(double keep):
    """(limit, below, above): NumPy keeps an element by one uniform number against limit / 2^53, as these values say.

    NumPy inverts the binomial distribution of the rarer outcome, from exp(log(1 - p)): that rounds, so it is done here
    in its own order. (It draws once more where the number is within an ulp of 1: once in 10^15 times, not copied.)
    """
    cdef double rare = min(keep, 1.0 - keep)
    common = math.exp(math.log(1.0 - rare))
    values = (0.0, 1.0 / keep) if keep <= 0.5 else (1.0 / keep, 0.0)
    return math.floor(common * 2.0**53), *values


def take_state():
    """The state of the generator behind numpy.random's functions, or None where that is not MT19937."""
    found = np.random.get_state(legacy=False)
    if found["bit_generator"] != "MT19937":
        return None
    return np.append(found["state"]["key"], np.uint32(found["state"]["pos"])).astype(np.uint32, copy=False)


def put_state(state):
    """Let numpy.random go on from a state that ``take_state`` gave."""
    found = np.random.get_state(legacy=False)
    found["state"] = {"key": state[:WORDS], "pos": int(state[WORDS])}
    np.random.set_state(found)


cdef uint32_t *_in_numpy(generator) except? NULL:
    """Where NumPy's MT19937 keeps its state, 624 words and its place among them (a ``bitgen_t``'s first field points
    there), or NULL where that is laid out in another way than all NumPys so far have it: asked once."""
    global looked, as_believed
    cdef uint32_t *words = (<uint32_t **>PyCapsule_GetPointer(generator.capsule, "BitGenerator"))[0]
    if not looked:
        state = generator.state["state"]
        as_believed = words[WORDS] == state["pos"] and all(words[i] == state["key"][i] for i in range(WORDS))
        looked = True
    return words if as_believed else NULL


def drop(x, double keep):
    """(x * mask, mask) with the mask that ``numpy.random.binomial(1, keep, x.shape) / keep`` gives, drawn from NumPy's
    own generator where it lies; NotImplemented where that is not MT19937 or x is not a plain array."""
    cdef cnp.ndarray a, y, mask
    cdef const fnn_kernels *t
    cdef uint32_t *words
    cdef void *yp
    cdef void *mp
    cdef const void *xp
    cdef size_t n
    cdef double below, above
    cdef uint64_t limit
    cdef fnn_fp_state found
    if not plain(x):
        return NotImplemented
    generator = np.random.get_bit_generator()
    if type(generator) is not np.random.MT19937:
        return NotImplemented
    with generator.lock:
        words = _in_numpy(generator)
        if words == NULL:
            return NotImplemented
        a = x
        y, mask = fresh(a), fresh(a)
        t = table_of(a)
        yp, mp, xp, n = cnp.PyArray_DATA(y), cnp.PyArray_DATA(mask), cnp.PyArray_DATA(a), cnp.PyArray_SIZE(a)
        limit, below, above = twister_limit(keep)
        with nogil:
            found = fnn_fp_enter()
            t.twister_dropout(yp, mp, xp, n, words, limit, below, above)
            fnn_fp_leave(found)
    return y, mask
