//! What the user wrote, checked: layers, shapes, recipe.
