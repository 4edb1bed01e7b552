"""The table of the daily sales."""

from datetime import date

from sqlalchemy import BigInteger, CheckConstraint, Date, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.core import Base


class DailySales(Base):
    """The sales of a day and channel. Revenue is in the smallest unit of the currency, such as cents."""

    __tablename__ = "daily_sales"

    day: Mapped[date] = mapped_column(Date, primary_key=True)
    channel: Mapped[str] = mapped_column(Text, primary_key=True)
    orders: Mapped[int] = mapped_column(BigInteger)
    paid: Mapped[int] = mapped_column(BigInteger)
    returned: Mapped[int] = mapped_column(BigInteger)
    revenue: Mapped[int] = mapped_column(BigInteger)

    __table_args__ = (
        CheckConstraint("0 <= returned AND returned <= paid AND paid <= orders", name="counts_fit"),
        CheckConstraint("revenue >= 0", name="revenue_is_not_negative"),
    )
