from libc.stdint cimport int32_t, int64_t, uint8_t

from fastnn._core cimport fnn_kernels

cdef enum:
    MOST_PARTS = 16

# one thing that is counted or added up. at: its first word in the counts
cdef struct Part:
    int kind
    double limit
    size_t k
    size_t at

cdef class Tally:
    cdef const fnn_kernels *k
    cdef readonly size_t cols
    cdef readonly bint categorical, keeps
    cdef double yes
    cdef object places, dtype
    cdef Part parts[MOST_PARTS]
    cdef int part_count
    cdef bint adds
    cdef object counts_array, sums_array, shift_array, scores_array, classes_array, answers_array, done
    cdef int64_t *counts
    cdef double *sums
    cdef double *shift
    cdef char *scores
    cdef int32_t *classes
    cdef uint8_t *answers
    cdef int64_t *counts_done
    cdef double *sums_done
    cdef size_t count_words, sum_words
    cdef readonly size_t rows, rows_done, room
    cdef void start(self) noexcept nogil
    cdef void add(self, const void *p, const void *t, const int32_t *labels, size_t rows) noexcept nogil
    cdef void commit(self) noexcept nogil
    cdef void rollback(self) noexcept nogil
    cdef void _class_counts(self, int64_t *counts, const char *p, const char *t, const int32_t *labels,
                            size_t rows) noexcept nogil
    cdef void _top_k(self, Part *part, const char *p, const char *t, const int32_t *labels,
                     size_t rows) noexcept nogil
    cdef void _keep(self, const char *p, const char *t, const int32_t *labels, size_t rows) noexcept nogil
