"""What metrics count and add up, on typed memoryviews. The mathematics of the passes over predictions stands in
csrc/kernels/metrics.h.

Class numbers are int32; counts are exact whole numbers, sums are float64 in the order of the rows.
"""
from cython cimport floating
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

import numpy as np

from fastnn._core cimport FNN_F32, FNN_F64, fnn_fp_enter, fnn_fp_leave, fnn_fp_state, fnn_kernels, table


cdef const fnn_kernels *_table(Py_ssize_t itemsize) noexcept nogil:
    return table(FNN_F32 if itemsize == 4 else FNN_F64)


cdef _check_classes(str name, const int32_t[::1] labels, Py_ssize_t classes):
    cdef Py_ssize_t i
    for i in range(labels.shape[0]):
        if not 0 <= labels[i] < classes:
            raise ValueError(f"{name}: expected classes 0 to {classes - 1}, got {labels[i]} at row {i}")


cdef _check_shape(str name, shape, wanted):
    if shape != wanted:
        raise ValueError(f"{name}: expected shape {wanted}, got {shape}")


def argmax_rows(const floating[:, ::1] x):
    """(rows,) the number of the first largest of each row of x (rows, cols), cols at least 1; NaN is never larger."""
    cdef size_t rows = x.shape[0], cols = x.shape[1]
    if cols == 0:
        raise ValueError("x: expected at least one column")
    best = np.empty(rows, np.int32)
    cdef int32_t[::1] to = best
    cdef fnn_fp_state found
    if rows:
        with nogil:
            found = fnn_fp_enter()
            _table(sizeof(floating)).argmax_rows(&to[0], &x[0, 0], rows, cols)
            fnn_fp_leave(found)
    return best


def top_k_count(const floating[:, ::1] p, const int32_t[::1] labels, size_t k):
    """In how many rows of p (rows, cols) the label is among the k first by falling score, equals by rising number."""
    cdef size_t rows = p.shape[0], cols = p.shape[1], count = 0
    cdef fnn_fp_state found
    _check_shape("labels", (labels.shape[0],), (p.shape[0],))
    _check_classes("labels", labels, cols)
    if rows:
        with nogil:
            found = fnn_fp_enter()
            count = _table(sizeof(floating)).top_k_count(&p[0, 0], &labels[0], rows, cols, k)
            fnn_fp_leave(found)
    return count


def yes_counts(const floating[:, ::1] p, const floating[:, ::1] t, double p_above, double t_above):
    """(cols, 3) int64: rows where p and t (rows, cols) are above their limits, where p is, where t is."""
    cdef size_t rows = p.shape[0], cols = p.shape[1]
    _check_shape("t", (t.shape[0], t.shape[1]), (p.shape[0], p.shape[1]))
    counts = np.zeros((cols, 3), np.int64)
    cdef int64_t[:, ::1] to = counts
    cdef fnn_fp_state found
    if rows and cols:
        with nogil:
            found = fnn_fp_enter()
            _table(sizeof(floating)).yes_counts_acc(&to[0, 0], &p[0, 0], &t[0, 0], rows, cols, p_above, t_above)
            fnn_fp_leave(found)
    return counts


def error_sums(const floating[:, ::1] p, const floating[:, ::1] t, const double[::1] shift):
    """(4, cols) float64 sums over the rows of d^2, |d|, s and s^2, with d = p - t and s = t - shift[column]."""
    cdef size_t rows = p.shape[0], cols = p.shape[1]
    cdef fnn_fp_state found
    _check_shape("t", (t.shape[0], t.shape[1]), (p.shape[0], p.shape[1]))
    _check_shape("shift", (shift.shape[0],), (p.shape[1],))
    sums = np.zeros((4, cols))
    cdef double[:, ::1] to = sums
    if rows and cols:
        with nogil:
            found = fnn_fp_enter()
            _table(sizeof(floating)).error_sums_acc(&to[0, 0], &shift[0], &p[0, 0], &t[0, 0], rows, cols)
            fnn_fp_leave(found)
    return sums


def confusion(const int32_t[::1] true, const int32_t[::1] predicted, Py_ssize_t classes):
    """(classes, classes) int64: rows of each true class (row) that were taken for each other (column)."""
    cdef Py_ssize_t i, rows = true.shape[0]
    _check_shape("predicted", (predicted.shape[0],), (rows,))
    _check_classes("true", true, classes)
    _check_classes("predicted", predicted, classes)
    counts = np.zeros((classes, classes), np.int64)
    cdef int64_t[:, ::1] to = counts
    with nogil:
        for i in range(rows):
            to[true[i], predicted[i]] += 1
    return counts


def weighted_confusion(const int32_t[::1] true, const int32_t[::1] predicted, const double[::1] weights,
                       Py_ssize_t classes):
    """The same in float64, each row counting its weight, added in the order of the rows."""
    cdef Py_ssize_t i, rows = true.shape[0]
    _check_shape("predicted", (predicted.shape[0],), (rows,))
    _check_shape("weights", (weights.shape[0],), (rows,))
    _check_classes("true", true, classes)
    _check_classes("predicted", predicted, classes)
    counts = np.zeros((classes, classes))
    cdef double[:, ::1] to = counts
    cdef fnn_fp_state found
    with nogil:
        found = fnn_fp_enter()
        for i in range(rows):
            to[true[i], predicted[i]] += weights[i]
        fnn_fp_leave(found)
    return counts


# --- the area under the ROC curve ---
cdef enum:
    DIGIT = 11  # bits of a key that a pass sorts by
    BUCKETS = 2048


cdef uint64_t _key(floating x) noexcept nogil:
    """A whole number that has the order of x, which is no NaN; of -0 that of 0."""
    cdef uint32_t narrow
    cdef uint64_t wide
    x += 0
    if sizeof(floating) == 4:
        memcpy(&narrow, &x, 4)
        return narrow ^ (0xFFFFFFFFu if narrow >> 31 else 0x80000000u)
    memcpy(&wide, &x, 8)
    return wide ^ (0xFFFFFFFFFFFFFFFFu if wide >> 63 else 0x8000000000000000u)


cdef uint64_t *_sorted(uint64_t *keys, uint64_t *spare, size_t n, int bits) noexcept nogil:
    """The keys ascending, in one of the two places: a radix sort, the lowest digits first."""
    cdef size_t count[BUCKETS]
    cdef size_t i, digit, total, here
    cdef int shift = -DIGIT
    while shift + DIGIT < bits:
        shift += DIGIT
        memset(count, 0, sizeof(count))
        for i in range(n):
            count[(keys[i] >> shift) % BUCKETS] += 1
        if n == 0 or count[(keys[0] >> shift) % BUCKETS] == n:  # one digit for all: in order already
            continue
        total = 0
        for digit in range(<size_t>BUCKETS):
            here, count[digit] = count[digit], total
            total += here
        for i in range(n):
            digit = (keys[i] >> shift) % BUCKETS
            spare[count[digit]] = keys[i]
            count[digit] += 1
        keys, spare = spare, keys
    return keys


def pairs_in_order(const floating[:] scores, const uint8_t[:] yes):
    """(pairs, yeses): twice the number of pairs of a yes and a no in which the yes has the larger score, equal ones
    counting half, an exact whole number (the statistic of Mann and Whitney 1947), and how many yeses there are. (-1, 0)
    where a score is NaN. Shapes: (rows,) both, yes of 0 and 1."""
    cdef Py_ssize_t i, n = scores.shape[0]
    cdef size_t ups = 0, downs = 0, u, below = 0, up_to = 0
    cdef bint bad = False
    cdef int64_t twice = 0
    cdef uint64_t key
    cdef fnn_fp_state found
    _check_shape("yes", (yes.shape[0],), (n,))
    cdef uint64_t[:, ::1] room = np.empty((4, n + 1), np.uint64)
    cdef uint64_t *a = &room[0, 0]
    cdef uint64_t *b = &room[1, 0]
    with nogil:
        found = fnn_fp_enter()
        for i in range(n):
            bad |= scores[i] != scores[i]
            key = _key(scores[i])
            a[ups] = b[downs] = key  # one of the two stays
            ups += yes[i]
            downs += 1 - yes[i]
        fnn_fp_leave(found)
        if not bad:
            a = _sorted(a, &room[2, 0], ups, 8 * sizeof(floating))
            b = _sorted(b, &room[3, 0], downs, 8 * sizeof(floating))
            for u in range(ups):
                while below < downs and b[below] < a[u]:
                    below += 1
                up_to = max(up_to, below)
                while up_to < downs and b[up_to] == a[u]:
                    up_to += 1
                twice += below + up_to
    if bad:
        return -1, 0
    return twice, ups
