"""The operations of a graph: several sources joined, columns taken apart, the gradients of several readers summed.

Shapes: parts x (rows, n) each, y and dy (rows, n_out). Each value of ``add`` and ``multiply`` is one chain over the
parts in their order, so its bits depend on nothing else. What moves and is not computed goes by memcpy.
"""
from libc.string cimport memcpy, memset


ctypedef void (*Joining)(void *y, const void *a, const void *b, size_t n) noexcept nogil


cdef void join(Joining joined, Op *o, const Step *s) noexcept nogil:
    cdef size_t i, n = s.rows * o.n_out
    joined(o.y, o.parts[0].x, o.parts[1].x, n)
    for i in range(2, o.part_count):
        joined(o.y, o.y, o.parts[i].x, n)


cdef void add_forward(Op *o, const Step *s) noexcept nogil:
    """y = x[0] + x[1] + ..."""
    join(s.k.add, o, s)


cdef void add_backward(Op *o, const Step *s) noexcept nogil:
    """dx[i] = dy."""
    cdef size_t i, n = s.rows * o.n_out
    for i in range(o.part_count):
        if o.parts[i].also != NULL:
            s.k.add(o.parts[i].dx, o.parts[i].also, o.dy, n)
        elif o.parts[i].dx != NULL and o.parts[i].dx != o.dy:
            memcpy(o.parts[i].dx, o.dy, n * s.k.itemsize)


cdef void multiply_forward(Op *o, const Step *s) noexcept nogil:
    """y = x[0] * x[1] * ..."""
    join(s.k.multiply, o, s)


cdef void multiply_backward(Op *o, const Step *s) noexcept nogil:
    """dx[i] = dy * the other parts. ``also`` lies apart from dx, which is written before it is added."""
    cdef size_t i, j, n = s.rows * o.n_out
    cdef const char *so_far
    for i in range(o.part_count):
        if o.parts[i].dx == NULL:
            continue
        so_far = o.dy
        for j in range(o.part_count):
            if j != i:
                s.k.multiply(o.parts[i].dx, so_far, o.parts[j].x, n)
                so_far = o.parts[i].dx
        if o.parts[i].also != NULL:
            s.k.add(o.parts[i].dx, o.parts[i].also, o.parts[i].dx, n)


cdef void copy_columns(char *y, size_t y_row, const char *x, size_t x_row, size_t row_bytes,
                       size_t rows) noexcept nogil:
    """row_bytes of each row, from rows x_row bytes apart to rows y_row bytes apart."""
    cdef size_t i
    for i in range(rows):
        memcpy(y + i * y_row, x + i * x_row, row_bytes)


cdef void concatenate_forward(Op *o, const Step *s) noexcept nogil:
    """y = the columns of x[0], then those of x[1], ..."""
    cdef size_t i, part, at = 0, row = o.n_out * s.k.itemsize
    for i in range(o.part_count):
        part = o.parts[i].n * s.k.itemsize
        copy_columns(o.y + at, row, o.parts[i].x, part, part, s.rows)
        at += part


cdef void concatenate_backward(Op *o, const Step *s) noexcept nogil:
    """dx[i] = its columns of dy."""
    cdef size_t i, part, at = 0, row = o.n_out * s.k.itemsize
    for i in range(o.part_count):
        part = o.parts[i].n * s.k.itemsize
        if o.parts[i].dx != NULL:
            copy_columns(o.parts[i].dx, part, o.dy + at, row, part, s.rows)
            if o.parts[i].also != NULL:
                s.k.add(o.parts[i].dx, o.parts[i].also, o.parts[i].dx, s.rows * o.parts[i].n)
        at += part


cdef void columns_forward(Op *o, const Step *s) noexcept nogil:
    """y = n_out columns of x, from first_column on."""
    cdef size_t part = o.n_out * s.k.itemsize
    copy_columns(o.y, part, o.x + o.first_column * s.k.itemsize, o.n_in * s.k.itemsize, part, s.rows)


cdef void columns_backward(Op *o, const Step *s) noexcept nogil:
    """dx = 0 but for these columns, where the gradient of the rows that came in is wanted."""
    cdef size_t item = s.k.itemsize, part = o.n_out * item
    if o.dx != NULL:
        memset(o.dx, 0, s.rows * o.n_in * item)
        copy_columns(o.dx + o.first_column * item, o.n_in * item, o.dy, part, part, s.rows)


cdef void summed_backward(Op *o, const Step *s) noexcept nogil:
    """An operation's own backward, and what the other readers of its source have given."""
    o.own_backward(o, s)
    s.k.add(o.dx, o.also, o.dx, s.rows * o.n_in)


cdef void no_backward(Op *o, const Step *s) noexcept nogil:
    """Of an operation that leads to nothing that is trained."""
