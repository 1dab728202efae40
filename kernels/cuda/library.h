#pragma once
// A shared library that may be missing, loaded at run time.

#include <dlfcn.h>

#include <initializer_list>
#include <stdexcept>
#include <string>

namespace qlora::kernels::cuda {

class Library {
  public:
    // The first of the names that can be loaded. Throws std::runtime_error that says why the last one cannot.
    explicit Library(std::initializer_list<std::string> names) {
        for (const auto& name : names)
            if (handle_ = ::dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL); handle_ != nullptr) return;
        const char* reason = ::dlerror();
        throw std::runtime_error(reason != nullptr ? reason : "no library of this name");
    }
    ~Library() {
        if (handle_ != nullptr) ::dlclose(handle_);
    }
    Library(const Library&) = delete;
    Library& operator=(const Library&) = delete;

    // Sets a pointer to a function. Throws std::runtime_error where there is none of this name.
    template <class F>
    void bind(F*& function, const char* name) const {
        function = reinterpret_cast<F*>(::dlsym(handle_, name));
        if (function == nullptr) throw std::runtime_error(std::string("the library has no function ") + name);
    }

  private:
    void* handle_ = nullptr;
};

}  // namespace qlora::kernels::cuda
