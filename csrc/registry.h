/* registry.h - what exists. Data only: the enums, the kernel table, the names and Python's id maps all come from these
 * lists, so they cannot disagree. To add an activation, a loss or an optimizer, add its lane function under kernels/
 * and one line here (docs/adding_an_activation.md). */
#ifndef FNN_REGISTRY_H
#define FNN_REGISTRY_H

/* A(name, shape, saves, alpha): shape E = elementwise, P = elementwise with a parameter alpha, R = over the row; backward
 * needs X (the input) or Y (the output); alpha: what the parameter is unless said otherwise, 0 where there is none */
#define FNN_ACTIVATIONS(A)                                                                                             \
    A(linear, E, Y, 0)                                                                                                 \
    A(step, E, Y, 0)                                                                                                   \
    A(relu, E, Y, 0)                                                                                                   \
    A(relu6, E, Y, 0)                                                                                                  \
    A(leaky_relu, P, Y, 0.01)                                                                                          \
    A(elu, P, Y, 1.0)                                                                                                  \
    A(selu, E, Y, 0)                                                                                                   \
    A(gelu, E, X, 0)                                                                                                   \
    A(gelu_tanh, E, X, 0)                                                                                              \
    A(silu, E, X, 0)                                                                                                   \
    A(mish, E, X, 0)                                                                                                   \
    A(softplus, E, Y, 0)                                                                                               \
    A(exponential, E, Y, 0)                                                                                            \
    A(sigmoid, E, Y, 0)                                                                                                \
    A(hard_sigmoid, E, Y, 0)                                                                                           \
    A(hard_swish, E, X, 0)                                                                                             \
    A(tanh, E, Y, 0)                                                                                                   \
    A(softmax, R, Y, 0)                                                                                                \
    A(log_softmax, R, Y, 0)

/* L(name, targets, parameter): targets C = class labels or a dense matrix, D = dense only; parameter: what the loss's
 * one number is unless said otherwise, 0 where there is none */
#define FNN_LOSSES(L)                                                                                                  \
    L(categorical_crossentropy, C, 0)                                                                                  \
    L(categorical_crossentropy_logits, C, 0)                                                                           \
    L(categorical_hinge, C, 0)                                                                                         \
    L(binary_crossentropy, D, 0)                                                                                       \
    L(binary_crossentropy_logits, D, 0)                                                                                \
    L(kl_divergence, D, 0)                                                                                             \
    L(mean_squared_error, D, 0)                                                                                        \
    L(mean_absolute_error, D, 0)                                                                                       \
    L(huber, D, 1.0)                                                                                                   \
    L(log_cosh, D, 0)                                                                                                  \
    L(quantile, D, 0.5)                                                                                                \
    L(poisson, D, 0)                                                                                                   \
    L(hinge, D, 0)                                                                                                     \
    L(squared_hinge, D, 0)

/* O(name, states, parameters): arrays of state the step reads and writes beside the weights, at most
 * FNN_MOST_STATES; numbers it is given */
#define FNN_OPTIMIZERS(O)                                                                                              \
    O(sgd, 0, 0)                                                                                                       \
    O(momentum, 1, 1)                                                                                                  \
    O(adagrad, 1, 1)                                                                                                   \
    O(rmsprop, 1, 2)                                                                                                   \
    O(adam, 2, 3)                                                                                                      \
    O(nesterov, 1, 1)                                                                                                  \
    O(amsgrad, 3, 3)                                                                                                   \
    O(adamw, 2, 4)                                                                                                     \
    O(nadam, 2, 3)                                                                                                     \
    O(lion, 1, 3)

/* R(name, parameters): learning rates by the number of the step; numbers each is given */
#define FNN_SCHEDULES(R)                                                                                               \
    R(step_decay, 3)                                                                                                   \
    R(exponential_decay, 3)                                                                                            \
    R(inverse_time, 3)                                                                                                 \
    R(cosine_decay, 5)                                                                                                 \
    R(one_cycle, 5)                                                                                                    \
    R(warm_up, 8)

/* M(name): what a metric counts */
#define FNN_METRICS(M)                                                                                                 \
    M(categorical)                                                                                                     \
    M(binary)                                                                                                          \
    M(regression)

/* S(name, C type): what a batch may be gathered from */
#define FNN_SOURCES(S)                                                                                                 \
    S(float32, float)                                                                                                  \
    S(float64, double)                                                                                                 \
    S(uint8, uint8_t)                                                                                                  \
    S(int8, int8_t)                                                                                                    \
    S(uint16, uint16_t)                                                                                                \
    S(int16, int16_t)                                                                                                  \
    S(uint32, uint32_t)                                                                                                \
    S(int32, int32_t)                                                                                                  \
    S(uint64, uint64_t)                                                                                                \
    S(int64, int64_t)

/* I(isa): preferred last. scalar is the reference; sse2 serves processors without FMA, outside the contract. */
#if defined(__x86_64__)
#define FNN_ISAS(I) I(sse2) I(scalar) I(avx2) I(avx512)
#elif defined(__aarch64__)
#define FNN_ISAS(I) I(scalar) I(neon)
#else
#define FNN_ISAS(I) I(scalar)
#endif

#endif
