#pragma once
// Makes a widget, layout or other object that a Qt parent owns from its birth.

#include <memory>
#include <utility>

namespace qlora::ui {

// The last argument must be the parent, or the object must be handed to a layout or parent at once.
template <class T, class... Arguments>
T* make(Arguments&&... arguments) {
    return std::make_unique<T>(std::forward<Arguments>(arguments)...).release();
}

}  // namespace qlora::ui
