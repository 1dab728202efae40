#pragma once
// What the program says: its answer on stdout, all else on stderr.

#include <string>
#include <string_view>

#include "core/base/error.h"
#include "core/base/json.h"

namespace qlora::cli {

// One thread at a time.
class Output {
  public:
    explicit Output(bool json) : json_(json) {}

    bool json() const { return json_; }
    // The answer: with --json one line of JSON, else text for people. Throws failure "output" when stdout is
    // full or gone.
    void answer(const OrderedJson& json, std::string_view text);
    // One line of JSON, whether --json was given or not; false when stdout takes no more.
    bool line(std::string_view json);
    // Text without a line feed of its own, at once: a piece of a stream.
    void piece(std::string_view text);
    // For people, on stderr, one line.
    void note(std::string_view text);
    // Says what went wrong, in the way that --json asks for; gives the exit code.
    int error(const Error& error) noexcept;

  private:
    bool json_;
};

// `text` without what steers a terminal: a file's or a model's words must not.
std::string plain(std::string_view text);

OrderedJson to_json(const Error& error);

}  // namespace qlora::cli
