"""What metrics need of a pass over rows, counted and added up natively while the pass runs.

A ``Tally`` sees the predictions and targets of each chunk of rows. Counts are whole numbers, sums go on row by row in
float64, and scores are kept as they come: where the rows are cut into chunks cannot show.
"""
import numpy as np

cimport numpy as cnp
from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.string cimport memcpy, memset

from fastnn._core cimport FNN_F32, FNN_F64, table

cnp.import_array()

cdef enum:
    CLASSES = 0
    TOP_K = 1
    ERRORS = 2
    SCORES = 3
    CHUNK = 256  # rows whose classes are found together
_KINDS = {"classes": CLASSES, "top_k": TOP_K, "errors": ERRORS, "scores": SCORES}


cdef class Tally:
    """parts: what is wanted, as (kind, number): ("classes", limit), where limit is above what a prediction is a yes,
    ("top_k", k), ("errors", 0) and ("scores", 0). categorical: a row is of one class, that of its largest column, or of
    its label; else each column is a yes, above ``yes`` in the targets, or a no. room: rows for which scores are kept.

    commit() says that what was added is to stay: ``state`` is as of then, and ``rollback`` goes back to it.
    """

    def __init__(self, size_t cols, dtype, bint categorical, double yes, parts, size_t room):
        if len(parts) > MOST_PARTS:
            raise ValueError(f"metrics: at most {MOST_PARTS} that count differently go together, got {len(parts)}")
        self.dtype = np.dtype(dtype)
        self.k = table(FNN_F64 if self.dtype == np.float64 else FNN_F32)
        self.cols, self.categorical, self.yes = cols, categorical, yes
        self.places = {}
        words = 0
        for kind, number in parts:
            self.places[kind, number] = words
            if kind == "scores":
                self.keeps = True
                continue
            self.parts[self.part_count] = Part(_KINDS[kind], number, <size_t>number if kind == "top_k" else 0, words)
            self.part_count += 1
            self.adds |= kind == "errors"
            words += 3 * cols if kind == "classes" else 1 if kind == "top_k" else 0
        self.count_words, self.sum_words = words, (5 * cols if self.adds else 0)
        self.counts_array, self.sums_array = np.zeros(words, np.int64), np.zeros(self.sum_words)
        self.done = (np.zeros(words, np.int64), np.zeros(self.sum_words))
        self.counts, self.sums = <int64_t *>_data(self.counts_array), <double *>_data(self.sums_array)
        self.shift = self.sums + 4 * cols
        self.counts_done, self.sums_done = <int64_t *>_data(self.done[0]), <double *>_data(self.done[1])
        if self.keeps:
            self._make_room(room)

    def need_room(self, size_t rows):
        """Let the scores of so many further rows have a place; those that are kept stay."""
        if self.keeps and self.rows + rows > self.room:
            self._make_room(2 * (self.rows + rows))  # doubling: each row moves about once

    def _make_room(self, size_t room):
        scores = np.empty((room, self.cols), self.dtype)
        classes = np.empty(room if self.categorical else 0, np.int32)
        answers = np.empty((0 if self.categorical else room, self.cols), np.uint8)
        if self.scores_array is not None:
            scores[:self.rows] = self.scores_array[:self.rows]
            if self.categorical:
                classes[:self.rows] = self.classes_array[:self.rows]
            else:
                answers[:self.rows] = self.answers_array[:self.rows]
        self.scores_array, self.classes_array, self.answers_array = scores, classes, answers  # all are there, or none
        self.scores, self.classes = <char *>_data(self.scores_array), <int32_t *>_data(self.classes_array)
        self.answers, self.room = <uint8_t *>_data(self.answers_array), room

    cdef void start(self) noexcept nogil:
        memset(self.counts, 0, self.count_words * sizeof(int64_t))
        memset(self.sums, 0, self.sum_words * sizeof(double))
        self.rows = 0
        self.commit()

    cdef void commit(self) noexcept nogil:
        memcpy(self.counts_done, self.counts, self.count_words * sizeof(int64_t))
        memcpy(self.sums_done, self.sums, self.sum_words * sizeof(double))
        self.rows_done = self.rows

    cdef void rollback(self) noexcept nogil:
        """Forget what was added since the last commit."""
        memcpy(self.counts, self.counts_done, self.count_words * sizeof(int64_t))
        memcpy(self.sums, self.sums_done, self.sum_words * sizeof(double))
        self.rows = self.rows_done

    cdef void add(self, const void *p, const void *t, const int32_t *labels, size_t rows) noexcept nogil:
        """Rows p (rows, cols) with their targets: t of the same shape or labels, the other NULL."""
        cdef int i
        cdef size_t j
        cdef Part *part
        for i in range(self.part_count):
            part = &self.parts[i]
            if part.kind == ERRORS:
                if self.rows == 0:  # variances are taken around the first row's targets, so that they do not cancel
                    for j in range(self.cols):
                        self.shift[j] = ((<const double *>t)[j] if self.k.itemsize == 8 else (<const float *>t)[j])
                self.k.error_sums_acc(self.sums, self.shift, p, t, rows, self.cols)
            elif part.kind == TOP_K:
                self._top_k(part, <const char *>p, <const char *>t, labels, rows)
            elif self.categorical:
                self._class_counts(self.counts + part.at, <const char *>p, <const char *>t, labels, rows)
            else:
                self.k.yes_counts_acc(self.counts + part.at, p, t, rows, self.cols, part.limit, self.yes)
        if self.keeps:
            self._keep(<const char *>p, <const char *>t, labels, rows)
        self.rows += rows

    cdef void _class_counts(self, int64_t *counts, const char *p, const char *t, const int32_t *labels,
                            size_t rows) noexcept nogil:
        cdef int32_t predicted[CHUNK]
        cdef int32_t actual[CHUNK]
        cdef const int32_t *true
        cdef size_t first = 0, here, i, row = self.cols * self.k.itemsize
        while first < rows:
            here = min(<size_t>CHUNK, rows - first)
            self.k.argmax_rows(predicted, p + first * row, here, self.cols)
            true = labels + first
            if labels == NULL:
                self.k.argmax_rows(actual, t + first * row, here, self.cols)
                true = actual
            for i in range(here):
                counts[3 * predicted[i]] += predicted[i] == true[i]
                counts[3 * predicted[i] + 1] += 1
                counts[3 * true[i] + 2] += 1
            first += here

    cdef void _top_k(self, Part *part, const char *p, const char *t, const int32_t *labels,
                     size_t rows) noexcept nogil:
        cdef int32_t actual[CHUNK]
        cdef size_t first = 0, here, row = self.cols * self.k.itemsize
        if labels != NULL:
            self.counts[part.at] += self.k.top_k_count(p, labels, rows, self.cols, part.k)
            return
        while first < rows:
            here = min(<size_t>CHUNK, rows - first)
            self.k.argmax_rows(actual, t + first * row, here, self.cols)
            self.counts[part.at] += self.k.top_k_count(p + first * row, actual, here, self.cols, part.k)
            first += here

    cdef void _keep(self, const char *p, const char *t, const int32_t *labels, size_t rows) noexcept nogil:
        cdef size_t i, row = self.cols * self.k.itemsize, n = rows * self.cols
        cdef uint8_t *answers
        if self.rows + rows > self.room:  # only a file that lies about its place in an epoch gets here
            return
        memcpy(self.scores + self.rows * row, p, rows * row)
        if labels != NULL:
            memcpy(self.classes + self.rows, labels, rows * sizeof(int32_t))
        elif self.categorical:
            self.k.argmax_rows(self.classes + self.rows, t, rows, self.cols)
        else:
            answers = self.answers + self.rows * self.cols
            if self.k.itemsize == 8:
                for i in range(n):
                    answers[i] = (<const double *>t)[i] > self.yes
            else:
                for i in range(n):
                    answers[i] = (<const float *>t)[i] > <float>self.yes

    def class_counts(self, double limit):
        """(cols, 3) of the part ("classes", limit): rows found, predicted and actual of each class, or column."""
        at = self.places["classes", limit]
        return self.counts_array[at:at + 3 * self.cols].reshape(self.cols, 3)

    def top_k(self, double k):
        """Rows found by the part ("top_k", k)."""
        return int(self.counts_array[self.places["top_k", k]])

    def errors(self):
        """(4, cols) sums of d^2, |d|, s, s^2: csrc/kernels/metrics.h."""
        return self.sums_array[:4 * self.cols].reshape(4, self.cols)

    @property
    def predictions(self):
        """(rows, cols) as they came."""
        return self.scores_array[:self.rows]

    @property
    def targets(self):
        """The class of each row (rows,), or where each column is a yes (rows, cols)."""
        return self.classes_array[:self.rows] if self.categorical else self.answers_array[:self.rows]

    def state(self):
        """All of it as of the last commit, as arrays by name: what ``load`` takes back. Those of scores are live."""
        counts, sums = self.done
        arrays = {"rows": np.array([self.rows_done], np.int64), "counts": counts.copy(), "sums": sums.copy()}
        if self.keeps:
            arrays["scores"] = self.scores_array[:self.rows_done]
            arrays["targets"] = (self.classes_array if self.categorical else self.answers_array)[:self.rows_done]
        return arrays

    def load(self, arrays):
        """Go on from a ``state``. ValueError, and nothing changed, where it is that of another tally."""
        wanted = self.state()
        rows = int(arrays["rows"][0]) if "rows" in arrays and arrays["rows"].size == 1 else -1
        fits = set(wanted) == set(arrays) and 0 <= rows and (rows <= self.room or not self.keeps)
        for name, mine in wanted.items() if fits else ():
            shape = (rows, *mine.shape[1:]) if name in ("scores", "targets") else mine.shape
            fits = fits and arrays[name].shape == shape and arrays[name].dtype == mine.dtype
        targets = arrays.get("targets")
        if fits and self.keeps and self.categorical and rows:
            fits = 0 <= targets.min() and targets.max() < self.cols
        if not fits:
            raise ValueError("the state of the metrics is that of others")
        self.counts_array[:], self.sums_array[:], self.rows = arrays["counts"], arrays["sums"], rows
        if self.keeps:
            self.scores_array[:rows] = arrays["scores"]
            (self.classes_array if self.categorical else self.answers_array)[:rows] = targets
        self.commit()


cdef void *_data(cnp.ndarray array):
    return cnp.PyArray_DATA(array)
