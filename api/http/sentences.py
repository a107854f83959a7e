"""What is said of a refusal to people in a hall: in Vietnamese, and in English.

Sentences are found by an error's code, and what stands in braces are its facts. A code that is not
here keeps the sentence that it makes itself, in English.
"""

from collections.abc import Mapping
from typing import Final

from api.http.languages import wanted_of
from models.errors import StanchionError, UnavailableError

# Hall staff and visitors are Vietnamese first; the contract answers in both.
_DEFAULT: Final = "vi"
_SENTENCES: Final[Mapping[str, tuple[str, str]]] = {
    "invalid": ("Dữ liệu không hợp lệ", "The data is not valid"),
    "ticket_not_found": (
        "Không tìm thấy vé với ID: {ticket_id}",
        "There is no ticket with ID: {ticket_id}",
    ),
    "http": ("Yêu cầu HTTP không được nhận: {sentence}", "{sentence}"),
    "counter_not_found": (
        "Không tìm thấy quầy với ID: {counter_id}",
        "There is no counter with ID: {counter_id}",
    ),
    "procedure_not_found": (
        "Không tìm thấy thủ tục với ID: {procedure_id}",
        "There is no procedure with ID: {procedure_id}",
    ),
    "branch_not_found": (
        "Không tìm thấy chi nhánh với ID: {branch_id}",
        "There is no branch with ID: {branch_id}",
    ),
    "no_waiting_tickets": (
        "Không còn khách hàng nào đang chờ",
        "Nobody is waiting",
    ),
    "invalid_counter": (
        "Counter ID không tồn tại hoặc đang tạm dừng",
        "The counter does not exist, or does not take people now",
    ),
    "invalid_procedure": (
        "Thủ tục không tồn tại hoặc không được thực hiện tại quầy này",
        "The procedure does not exist, or is not done at this counter",
    ),
    "invalid_status_transition": (
        "Không thể chuyển từ '{current_status}' sang '{requested_status}'",
        "Cannot go from '{current_status}' to '{requested_status}'",
    ),
    "too_few_calls": (
        "Mới gọi {call_count} lần, cần gọi đủ {calls_needed} lần trước khi đánh dấu vắng mặt",
        "Called {call_count} times; {calls_needed} calls are needed before a no-show",
    ),
    "unauthorized_counter": (
        "Bạn không có quyền cập nhật vé của quầy này",
        "You may not act at this counter",
    ),
    "counter_busy": (
        "Quầy đang gọi số {number}, chưa bắt đầu phục vụ",
        "Number {number} was called to the counter and is not served yet",
    ),
    "counter_not_active": (
        "Quầy không hoạt động (trạng thái: {counter_status})",
        "The counter is not active (status: {counter_status})",
    ),
    "ticket_not_served": (
        "Chỉ đánh giá được sau khi đã được phục vụ xong",
        "Only a service that is complete can be rated",
    ),
    "branch_closed": (
        "Ngoài giờ làm việc, hiện không phát số",
        "The hall is closed and hands out no tickets now",
    ),
    "clip_not_found": (
        "Chi nhánh {branch_id} không có đoạn ghi âm {language}/{key}",
        "Branch {branch_id} has no clip {language}/{key}",
    ),
    "announcement_not_found": (
        "Không tìm thấy thông báo {announcement_id}, hoặc đã quá lâu",
        "There is no announcement {announcement_id}, or no longer",
    ),
    "too_many_clips": (
        "Chi nhánh {branch_id} đã có đủ {clips_max} đoạn ghi âm",
        "Branch {branch_id} has {clips_max} clips, as many as it may",
    ),
    "voice_not_available": (
        "Máy chủ không đọc được",
        "The server cannot say it",
    ),
    "name_taken": ("Tên '{name}' đã tồn tại", "The name '{name}' is taken"),
    "rate_limited": (
        "Quá nhiều yêu cầu, vui lòng thử lại sau {retry_after_s} giây",
        "Too many requests; try again in {retry_after_s} seconds",
    ),
    "limit": (
        "Hệ thống đang bận, vui lòng thử lại sau {retry_after_s} giây",
        "The system is busy; try again in {retry_after_s} seconds",
    ),
    "not_signed_in": ("Bạn chưa đăng nhập", "You are not logged in"),
    "invalid_token": ("Token không hợp lệ", "The token is not valid"),
    "expired_token": (
        "Phiên đăng nhập đã hết hạn, vui lòng đăng nhập lại",
        "The token has expired; log in again",
    ),
    "invalid_session": (
        "Phiên đăng nhập đã kết thúc, vui lòng đăng nhập lại",
        "The session is over; log in again",
    ),
    "invalid_credentials": (
        "Tên đăng nhập hoặc mật khẩu không đúng",
        "Invalid credentials",
    ),
    "forbidden_role": (
        "Vai trò của bạn không được phép làm việc này",
        "Your role does not allow this",
    ),
    "invalid_key": ("Khóa API không hợp lệ", "The API key is not valid"),
    "route_not_found": ("Không có gì tại {path}", "Nothing answers at {path}"),
    "unavailable": (
        "Hệ thống tạm thời không khả dụng, vui lòng thử lại",
        "The system is not available now; please try again",
    ),
    "internal": (
        "Máy chủ gặp lỗi",
        "The server failed",
    ),
}


def say(error: StanchionError, *, language: str) -> str:
    """Return the sentence of an error in a language."""
    found = _SENTENCES.get(error.code)
    if found is None:
        return error.public if isinstance(error, UnavailableError) else str(error)
    return found[0 if language == "vi" else 1].format_map(_Facts(error))


def language_of(accepted: str | None) -> str:
    """Return `vi` or `en`, whichever Accept-Language names first, else Vietnamese."""
    return next((each for each in wanted_of(accepted or "") if each in {"vi", "en"}), _DEFAULT)


class _Facts(dict[str, object]):
    """The fields of an error, looked up by name; what it lacks shows as nothing."""

    def __init__(self, error: StanchionError) -> None:
        super().__init__(vars(error))

    def __missing__(self, name: str) -> str:
        return ""
