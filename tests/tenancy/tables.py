"""A small schema of tenants, with what the services have and what they might one day have: relationships, and keys
that forget the tenant."""

from sqlalchemy import Column, ForeignKey, ForeignKeyConstraint, Integer, String, Table
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from monitors.mesh.tenancy import OF_THE_MESH


class Base(DeclarativeBase):
    """The schema."""


class Box(Base):
    """Something of a tenant."""

    __tablename__ = "boxes"
    tenant_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    title: Mapped[str] = mapped_column(String(100), default="")
    things: Mapped[list["Thing"]] = relationship(back_populates="box", viewonly=True)


class Thing(Base):
    """Something in a box. `loose_id` is a key as it mustn't be: it names a box, but no tenant."""

    __tablename__ = "things"
    __table_args__ = (ForeignKeyConstraint(["tenant_id", "box_id"], ["boxes.tenant_id", "boxes.id"]),)
    tenant_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    box_id: Mapped[str] = mapped_column(String(40))
    loose_id: Mapped[int | None] = mapped_column(ForeignKey("loose.id"))
    box: Mapped[Box] = relationship(back_populates="things", viewonly=True)
    loose: Mapped["Loose | None"] = relationship(viewonly=True)


class Loose(Base):
    """A table whose key forgot the tenant."""

    __tablename__ = "loose"
    id: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[str] = mapped_column(String(40))
    things: Mapped[list[Thing]] = relationship(viewonly=True)


boxes, things, loose = Base.metadata.tables["boxes"], Base.metadata.tables["things"], Base.metadata.tables["loose"]
clock = Table(
    "clock", Base.metadata, Column("ticks", Integer, primary_key=True), info={OF_THE_MESH: "time is everybody's"}
)


def fill(session: Session) -> None:
    """The same ids for both tenants, and a thing of each."""
    for number, tenant in enumerate(("a", "b")):
        session.add(Loose(id=number, tenant_id=tenant))
        session.add(Box(tenant_id=tenant, id="1", title=f"canary of {tenant}"))
        session.flush()
        session.add(Thing(tenant_id=tenant, id="1", box_id="1", loose_id=1 - number))
