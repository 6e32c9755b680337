// JPEG through the libjpeg API (libjpeg-turbo), which unlike TurboJPEG's hands over the profile and EXIF.
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <jpeglib.h>
// jpeglib.h must come first.
#include <jerror.h>

#include "engine/image/c_guard.h"
#include "engine/image/exif.h"

namespace impasto::codec {
namespace {

constexpr int kExifMarker = JPEG_APP0 + 1, kIccMarker = JPEG_APP0 + 2;
constexpr std::size_t kMaxMarkerBytes = 65533;

/// Warnings that say nothing about the pixels. Cameras are known to leave a few bytes before the end marker.
bool is_harmless(const jpeg_error_mgr& error) {
  switch (error.msg_code) {
    case JWRN_ADOBE_XFORM:
    case JWRN_BOGUS_ICC:
    case JWRN_JFIF_MAJOR: return true;
    case JWRN_EXTRANEOUS_DATA: return error.msg_parm.i[0] <= 64 && error.msg_parm.i[1] == JPEG_EOI;
    default: return false;
  }
}

struct ErrorManager : jpeg_error_mgr {
  CError c_error;
};

[[noreturn]] void on_error(j_common_ptr info) {
  char text[JMSG_LENGTH_MAX];
  info->err->format_message(info, text);
  static_cast<ErrorManager*>(info->err)->c_error.raise(text);
}
/// libjpeg would carry on after damage and fill the rest with grey.
void on_message(j_common_ptr info, int level) {
  if (level < 0 && !is_harmless(*info->err)) on_error(info);
}
void on_output(j_common_ptr) {}

void install_handlers(ErrorManager& manager) {
  jpeg_std_error(&manager);
  manager.error_exit = on_error;
  manager.emit_message = on_message;
  manager.output_message = on_output;
}

/// A progressive file may hold thousands of scans over a huge picture: seconds of work for each kilobyte.
void limit_scans(j_common_ptr info) {
  constexpr int kMaxScans = 500;
  if (reinterpret_cast<j_decompress_ptr>(info)->input_scan_number > kMaxScans) {
    static_cast<ErrorManager*>(info->err)->c_error.raise("too many scans");
  }
}

struct Decompress {
  jpeg_decompress_struct info{};
  ErrorManager errors{};
  jpeg_progress_mgr progress{};
  Decompress() { install_handlers(errors); }
  ~Decompress() {
    if (info.mem != nullptr) jpeg_destroy_decompress(&info);
  }
  Decompress(const Decompress&) = delete;
  Decompress& operator=(const Decompress&) = delete;
};

std::vector<std::uint8_t> embedded_profile(Decompress& in) {
  JOCTET* data = nullptr;
  unsigned int size = 0;
  guarded(in.errors.c_error, "JPEG", [&] {
    if (!jpeg_read_icc_profile(&in.info, &data, &size)) size = 0;
  });
  const std::unique_ptr<JOCTET, decltype(&std::free)> owner(data, &std::free);
  return {data, data + size};
}

Raster decode(Bytes file, std::int64_t max_pixels) {
  Decompress in;
  jpeg_decompress_struct& info = in.info;
  guarded(in.errors.c_error, "JPEG", [&] {
    info.err = &in.errors;
    jpeg_create_decompress(&info);
    in.progress.progress_monitor = limit_scans;
    info.progress = &in.progress;
    jpeg_mem_src(&info, file.data(), static_cast<unsigned long>(file.size()));
    jpeg_save_markers(&info, kExifMarker, 0xFFFF);
    jpeg_save_markers(&info, kIccMarker, 0xFFFF);
    jpeg_read_header(&info, TRUE);
  });
  check_size(info.image_width, info.image_height, max_pixels);

  Raster raster;
  raster.width = info.image_width;
  raster.height = info.image_height;
  switch (info.jpeg_color_space) {
    case JCS_GRAYSCALE:
      raster.model = ColourModel::kGrey;
      info.out_color_space = JCS_GRAYSCALE;
      break;
    case JCS_RGB:
    case JCS_YCbCr:
      raster.model = ColourModel::kRgb;
      info.out_color_space = JCS_RGB;
      break;
    case JCS_CMYK:
    case JCS_YCCK:
      raster.model = ColourModel::kCmyk;
      info.out_color_space = JCS_CMYK;
      break;
    default:
      throw Error(ErrorCode::kBadInput, "expected a grey, RGB or CMYK JPEG picture, found " +
                                            std::to_string(info.num_components) + " components");
  }
  raster.icc = embedded_profile(in);
  for (jpeg_saved_marker_ptr marker = info.marker_list; marker != nullptr; marker = marker->next) {
    if (marker->marker == kExifMarker && marker->data_length >= 6 &&
        std::memcmp(marker->data, "Exif\0\0", 6) == 0) {
      raster.orientation = exif_orientation({marker->data, marker->data_length});
      break;
    }
  }

  raster.allocate();
  guarded(in.errors.c_error, "JPEG", [&] {
    jpeg_start_decompress(&info);
    while (info.output_scanline < info.output_height) {
      JSAMPROW row = raster.row(info.output_scanline);
      jpeg_read_scanlines(&info, &row, 1);
    }
    jpeg_finish_decompress(&info);
  });
  // Adobe's programs store CMYK as light (255: no ink), and say who they are in a marker.
  if (raster.model == ColourModel::kCmyk && info.saw_Adobe_marker) {
    const std::size_t size = raster.row_bytes() * static_cast<std::size_t>(raster.height);
    for (std::size_t i = 0; i < size; ++i)
      raster.samples[i] = static_cast<std::uint8_t>(255 - raster.samples[i]);
  }
  return raster;
}

/// Collects the file in a vector; unlike jpeg_mem_dest's buffer it is not lost when an error jumps away.
struct Destination : jpeg_destination_mgr {
  std::vector<std::uint8_t> file;
  JOCTET buffer[65536];
};
Destination& destination(j_compress_ptr info) { return *static_cast<Destination*>(info->dest); }
void reset_buffer(j_compress_ptr info) {
  info->dest->next_output_byte = destination(info).buffer;
  info->dest->free_in_buffer = sizeof Destination::buffer;
}
void flush(j_compress_ptr info, std::size_t size) {
  Destination& to = destination(info);
  if (!append(to.file, to.buffer, size)) ERREXIT1(info, JERR_OUT_OF_MEMORY, 0);
}
boolean on_full_buffer(j_compress_ptr info) {
  flush(info, sizeof Destination::buffer);
  reset_buffer(info);
  return TRUE;
}
void on_end(j_compress_ptr info) { flush(info, sizeof Destination::buffer - info->dest->free_in_buffer); }

struct Compress {
  jpeg_compress_struct info{};
  ErrorManager errors{};
  Destination to{};
  Compress() {
    install_handlers(errors);
    to.init_destination = reset_buffer;
    to.empty_output_buffer = on_full_buffer;
    to.term_destination = on_end;
  }
  ~Compress() {
    if (info.mem != nullptr) jpeg_destroy_compress(&info);
  }
  Compress(const Compress&) = delete;
  Compress& operator=(const Compress&) = delete;
};

void write_marker(jpeg_compress_struct& info, int marker, const std::string& text) {
  jpeg_write_marker(&info, marker, reinterpret_cast<const JOCTET*>(text.data()),
                    static_cast<unsigned int>(text.size()));
}

std::vector<std::uint8_t> encode(const Raster& picture, const WriteOptions& options) {
  if (picture.width > JPEG_MAX_DIMENSION || picture.height > JPEG_MAX_DIMENSION) {
    throw Error(ErrorCode::kBadInput, "expected sides of at most " + std::to_string(JPEG_MAX_DIMENSION) +
                                          " pixels for JPEG, found " + std::to_string(picture.width) + " x " +
                                          std::to_string(picture.height));
  }
  const std::vector<std::uint8_t>& profile = srgb_profile();
  std::string xmp;
  std::vector<std::string> comments;
  if (!options.metadata.empty()) {
    xmp = std::string("http://ns.adobe.com/xap/1.0/") + '\0' + xmp_packet(options.metadata);
    if (xmp.size() > kMaxMarkerBytes) xmp.clear();  // the comments still hold everything
  }
  for (const auto& [key, value] : options.metadata) {
    const std::string comment = key + ": " + value;
    for (std::size_t at = 0; at < comment.size(); at += kMaxMarkerBytes) {
      comments.push_back(comment.substr(at, kMaxMarkerBytes));
    }
  }

  Compress out;
  jpeg_compress_struct& info = out.info;
  guarded(out.errors.c_error, "JPEG", [&] {
    info.err = &out.errors;
    jpeg_create_compress(&info);
    info.dest = &out.to;
    info.image_width = static_cast<JDIMENSION>(picture.width);
    info.image_height = static_cast<JDIMENSION>(picture.height);
    info.input_components = 3;
    info.in_color_space = JCS_RGB;
    jpeg_set_defaults(&info);
    jpeg_set_quality(&info, options.quality, TRUE);
    // Full resolution for colour (4:4:4): brush strokes have sharp coloured edges.
    for (int c = 0; c < 3; ++c) {
      info.comp_info[c].h_samp_factor = 1;
      info.comp_info[c].v_samp_factor = 1;
    }
    jpeg_start_compress(&info, TRUE);
    if (!xmp.empty()) write_marker(info, kExifMarker, xmp);
    jpeg_write_icc_profile(&info, profile.data(), static_cast<unsigned int>(profile.size()));
    for (const std::string& comment : comments) write_marker(info, JPEG_COM, comment);
    while (info.next_scanline < info.image_height) {
      JSAMPROW row = picture.row(info.next_scanline);
      jpeg_write_scanlines(&info, &row, 1);
    }
    jpeg_finish_compress(&info);
  });
  return std::move(out.to.file);
}

bool recognises(Bytes file) {
  return file.size() >= 3 && file[0] == 0xFF && file[1] == 0xD8 && file[2] == 0xFF;
}

}  // namespace

const Codec& jpeg() {
  static const Codec codec{"JPEG", {".jpg", ".jpeg"}, false, false, recognises, decode, encode};
  return codec;
}

}  // namespace impasto::codec
