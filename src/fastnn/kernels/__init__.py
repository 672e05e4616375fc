"""The kernels, each with two doors: a ``cdef ... noexcept nogil`` form on pointers, which the engine cimports, and a
public form on typed memoryviews, which checks and calls the first. ``fastnn.functional`` is their comfortable front."""
