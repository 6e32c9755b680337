#pragma once
// Owners for the handles of HDF5's C API.
#include <hdf5.h>

#include <string>
#include <utility>

#include "engine/core/error.h"

namespace impasto::hdf5 {

/// Owns one handle of any kind (file, group, dataset, attribute, dataspace, datatype, property list).
class Handle {
 public:
  Handle() = default;
  explicit Handle(hid_t id) : id_(id) {}
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, H5I_INVALID_HID)) {}
  Handle& operator=(Handle&& other) noexcept {
    if (this != &other) {
      reset();
      id_ = std::exchange(other.id_, H5I_INVALID_HID);
    }
    return *this;
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() { reset(); }

  operator hid_t() const { return id_; }  // NOLINT: handed to H5 functions everywhere
  [[nodiscard]] bool valid() const { return id_ >= 0; }

 private:
  void reset() noexcept {
    if (id_ >= 0) H5Idec_ref(std::exchange(id_, H5I_INVALID_HID));
  }
  hid_t id_ = H5I_INVALID_HID;
};

/// Takes ownership of what an H5 function returned; throws Error(code, message) if it failed.
[[nodiscard]] inline Handle own(hid_t id, const std::string& message, ErrorCode code = ErrorCode::kBadInput) {
  if (id < 0) throw Error(code, message);
  return Handle(id);
}

/// Throws Error(code, message) if an H5 function reported a failure.
inline void check(herr_t status, const std::string& message, ErrorCode code = ErrorCode::kBadInput) {
  if (status < 0) throw Error(code, message);
}

/// While it lives, HDF5 prints no error stack to stderr from this thread.
class SilenceErrors {
 public:
  SilenceErrors() {
    H5Eget_auto2(H5E_DEFAULT, &function_, &data_);
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  }
  ~SilenceErrors() { H5Eset_auto2(H5E_DEFAULT, function_, data_); }
  SilenceErrors(const SilenceErrors&) = delete;
  SilenceErrors& operator=(const SilenceErrors&) = delete;

 private:
  H5E_auto2_t function_ = nullptr;
  void* data_ = nullptr;
};

}  // namespace impasto::hdf5
