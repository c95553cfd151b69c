#pragma once

#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace hutch {

/// What went wrong, as far as a caller may have to act on it. The HTTP door turns it into a status.
enum class ErrorKind {
    kSystem,        ///< a kernel call failed; `code` is its errno
    kInvalid,       ///< the caller's input; the message names the field
    kUnauthorized,  ///< who asks is not known, or may not
    kForbidden,     ///< who asks is known, and may not
    kNotFound,
    kConflict,  ///< the object's state does not allow it now
    kTooLarge,
    kLimit,    ///< a limit of the caller or of the host is reached
    kTimeout,  ///< the caller took too long
    kUnsupported,
};

/// An error carries the operation and the object ("creating box b1: mounting overlay: ..."), outermost first.
struct Error {
    ErrorKind kind = ErrorKind::kSystem;
    int code = 0;  ///< errno, or 0 where no kernel call failed
    std::string message;

    /// Puts the outer operation in front.
    [[nodiscard]] Error in(std::string_view operation) && {
        message = std::string(operation) + ": " + message;
        return std::move(*this);
    }
    [[nodiscard]] bool out_of_space() const { return code == ENOSPC || code == EDQUOT; }
};

/// The failed kernel call that errno (or `code`) speaks of: "opening /x: No such file or directory".
[[nodiscard]] inline Error errno_error(std::string_view what, int code = errno) {
    return Error{ErrorKind::kSystem, code, std::string(what) + ": " + std::strerror(code)};
}
[[nodiscard]] inline Error invalid(std::string message) {
    return Error{ErrorKind::kInvalid, 0, std::move(message)};
}

/// A value or an Error. Never ignored: use TRY to hand an error up, or look at it.
template <typename T>
class [[nodiscard]] Result {
  public:
    Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT(google-explicit-constructor)
    Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT(google-explicit-constructor)

    [[nodiscard]] bool ok() const { return state_.index() == 0; }
    explicit operator bool() const { return ok(); }
    T& value() & { return std::get<0>(state_); }
    const T& value() const& { return std::get<0>(state_); }
    T&& value() && { return std::get<0>(std::move(state_)); }
    T* operator->() { return &value(); }
    T& operator*() & { return value(); }
    Error& error() & { return std::get<1>(state_); }
    const Error& error() const& { return std::get<1>(state_); }
    Error&& error() && { return std::get<1>(std::move(state_)); }

  private:
    std::variant<T, Error> state_;
};

struct Unit {};

template <>
class [[nodiscard]] Result<void> : public Result<Unit> {
  public:
    Result() : Result<Unit>(Unit{}) {}
    Result(Error error) : Result<Unit>(std::move(error)) {}  // NOLINT(google-explicit-constructor)
};

}  // namespace hutch

// The value of `expression`, or return its error from the enclosing function.
// NOLINTBEGIN(bugprone-macro-parentheses)
#define TRY(expression)                                                         \
    ({                                                                          \
        auto&& hutch_try_result = (expression);                                 \
        if (!hutch_try_result.ok()) return std::move(hutch_try_result).error(); \
        std::move(hutch_try_result).value();                                    \
    })
// The same, with the outer operation put in front of the message.
#define TRY_IN(operation, expression)                                                         \
    ({                                                                                        \
        auto&& hutch_try_result = (expression);                                               \
        if (!hutch_try_result.ok()) return std::move(hutch_try_result).error().in(operation); \
        std::move(hutch_try_result).value();                                                  \
    })

// For coroutines, where GCC 12 cannot have co_await or co_return inside an expression statement:
//     CO_TRY(co_await step());                    go on, or co_return its error
//     CO_TRY_LET(const auto box, co_await find()) declare `box` from the value, or co_return the error
#define HUTCH_JOIN_(left, right) left##right
#define HUTCH_JOIN(left, right) HUTCH_JOIN_(left, right)
#define CO_TRY(...) \
    if (auto hutch_try_result = (__VA_ARGS__); !hutch_try_result.ok()) co_return std::move(hutch_try_result).error()
#define CO_TRY_LET(declaration, ...) HUTCH_CO_TRY_LET(HUTCH_JOIN(hutch_result_, __LINE__), declaration, __VA_ARGS__)
#define HUTCH_CO_TRY_LET(result, declaration, ...)         \
    auto result = (__VA_ARGS__);                           \
    if (!result.ok()) co_return std::move(result).error(); \
    declaration = std::move(result).value()
// NOLINTEND(bugprone-macro-parentheses)
