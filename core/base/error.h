#pragma once
// What went wrong, as a value that every edge (CLI, window, tests) words for people in its own way.

#include <stdexcept>
#include <string>

namespace qlora {

class Error : public std::runtime_error {
  public:
    enum class Kind {
        input,    // the user's file, recipe or flag is wrong: exit code 2
        failure,  // it failed while running: exit code 1
        stopped,  // the user stopped it: exit code 130
    };

    // code: stable, dotted, lower case ("safetensors.offsets"). where: the file (with line or byte) or the
    // recipe's field. message: what is wrong, expected and got. hint: what to do. Name the file by its path.
    Error(Kind kind, std::string code, std::string where, std::string message, std::string hint = {});

    Kind kind() const noexcept { return kind_; }
    const std::string& code() const noexcept { return code_; }
    const std::string& where() const noexcept { return where_; }
    const std::string& hint() const noexcept { return hint_; }
    // "where: message"; always names the file or the field. Also what what() returns.
    std::string message() const { return what(); }
    int exit_code() const noexcept;

  private:
    Kind kind_;
    std::string code_, where_, hint_;
};

Error input_error(std::string code, std::string where, std::string message, std::string hint = {});
Error failure(std::string code, std::string where, std::string message, std::string hint = {});
Error stopped();

// The sentence for an errno value, without the thread-unsafe strerror.
std::string errno_text(int error);

}  // namespace qlora
