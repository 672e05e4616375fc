"""The book's spiral, three classes that no straight line can part: the smallest program that is worth reading.

python examples/spiral.py [EPOCHS]
"""

import sys

from fastnn import Dense, Dropout, Model, ReLU, Softmax, data, optimizers

epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 300
X, y = data.spiral(samples=1000, classes=3, seed=0)
X_new, y_new = data.spiral(samples=1000, classes=3, seed=1)

model = Model(seed=0)
model.add(Dense(2, 64, weight_regularizer_l2=1e-5))
model.add(ReLU())
model.add(Dropout(0.02))
model.add(Dense(64, 64, activation="relu"))  # an activation is a layer, or a name
model.add(Dense(64, 3))
model.add(Softmax())
model.set(loss="categorical_crossentropy", optimizer=optimizers.Adam(learning_rate=0.005, decay=1e-3))
model.finalize()
model.summary()

history = model.train(X, y, epochs=epochs, batch_size=128, shuffle=True, validation_data=(X_new, y_new))
print(history)
print(f"held-out accuracy {model.evaluate(X_new, y_new).accuracy:.3f}")
