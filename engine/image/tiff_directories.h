#pragma once
// What pictures a TIFF holds, before libtiff reads one of them: raw cameras' files and others start with a
// thumbnail, and the picture is elsewhere.
#include "engine/image/codec.h"

namespace impasto::codec {

/// Some tags of one directory; 0 where a tag is absent (no value of these tags that matters is 0).
struct TiffDirectory {
  std::uint64_t offset = 0;
  bool in_chain = true;  ///< of pages; otherwise below another directory
  std::uint32_t new_subfile_type = 0, subfile_type = 0, photometric = 0, compression = 0, orientation = 0;
  std::uint32_t extra_samples = 0;  ///< how many the file declares; libtiff adds what it thinks missing
  bool has_photometric = false;
  bool has_dng_version = false;
  std::string make;                        ///< of the camera
  std::vector<std::uint64_t> sub_offsets;  ///< of directories below it

  [[nodiscard]] bool is_reduced() const { return (new_subfile_type & 1U) != 0 || subfile_type == 2; }
  [[nodiscard]] bool is_mask() const { return (new_subfile_type & 4U) != 0; }
};

/// The chain of pages, then what is below them (one level). Stops where the file is broken or loops, and at
/// 1000 directories. Reads nothing outside of `file`, which must start as a TIFF does.
[[nodiscard]] std::vector<TiffDirectory> tiff_directories(Bytes file);

/// The kind of a raw camera file ("a raw camera picture (NEF)"), or empty.
[[nodiscard]] std::string raw_camera_kind(Bytes file, const std::vector<TiffDirectory>& directories);

/// The first picture of full size; where there is none, the first directory. Requires at least one.
[[nodiscard]] const TiffDirectory& main_picture(const std::vector<TiffDirectory>& directories);

/// How many directories of the chain are pictures of full size.
[[nodiscard]] std::int64_t count_pages(const std::vector<TiffDirectory>& directories);

}  // namespace impasto::codec
